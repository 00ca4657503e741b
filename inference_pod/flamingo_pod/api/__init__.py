"""The HTTP routes of a pod: a body in, audio and text through the engine, an answer out."""
