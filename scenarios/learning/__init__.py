"""What the training loop works with: checkpoints, PyTorch modules, CUDA devices, dropout."""
