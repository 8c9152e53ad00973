"""What people use instead of Batchdrop, each a program of its own: `compare` runs them beside ours."""
