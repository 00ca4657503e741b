"""A whole fleet on one machine: pods and a router as child processes.

`plan` and `messages` decide and word, and are pure; `machine` looks at the
hardware, `processes` starts and stops children, `terminal` prints; `fleet` is
the story.
"""
