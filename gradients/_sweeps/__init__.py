"""The adjoint and the tangent of a run: walks backward or forward through its events."""
