"""The engines that are measured, each behind one function: task → measured."""
