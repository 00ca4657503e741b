"""The commands of `kubectl flamingo`, one file each."""
