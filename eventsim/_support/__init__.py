"""What has nothing to do with neurons: arrays, queues, threads, compilation, checks."""
