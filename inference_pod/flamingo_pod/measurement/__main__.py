"""`python -m flamingo_pod.measurement`: compile what measuring needs, when an image is built."""

import os

from flamingo_pod.measurement import compiled_code, measure


def main() -> None:
    """Write the compiled code to where each pod of this image will find it."""
    compiled_code.IN_IMAGE.mkdir(parents=True, exist_ok=True)
    compiled_code.set_variables(os.environ, str(compiled_code.IN_IMAGE))
    measure.warm_up()


if __name__ == "__main__":
    main()
