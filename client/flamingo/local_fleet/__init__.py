"""`flamingo up`: a fleet on one machine, with its pods and router as child processes.

`fleet` runs it from start to stop. `plan`, `restarts` and `messages` hold the decisions and the
texts and do no I/O; `hardware` detects GPUs and cores, `processes` starts and stops the services,
`supervision` starts again those that die, `terminal` prints.
"""
