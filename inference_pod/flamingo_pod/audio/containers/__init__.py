"""Container files: what FFmpeg is shown of them, and in how many parts it opens them."""
