"""`flamingo bench gpu`: how near the engine comes to what a device can do."""
