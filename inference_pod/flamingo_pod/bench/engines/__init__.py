"""The engines that `flamingo bench engine` measures."""
