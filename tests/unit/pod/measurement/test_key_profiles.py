"""Keys of notes whose strengths are those of a profile, or are not."""

import numpy as np
import pytest

from flamingo_common.measured.keys import MusicKey
from flamingo_pod.measurement.key_profiles import KRUMHANSL_KESSLER, fit_key


@pytest.mark.parametrize("mode", ["major", "minor"])
@pytest.mark.parametrize("tonic", range(12))
def test_a_profile_fits_its_own_key(tonic, mode):
    found = fit_key(np.roll(KRUMHANSL_KESSLER[mode], tonic))
    assert found.key == MusicKey(tonic, mode)
    assert found.correlation == pytest.approx(1)
    assert found.runner_up_correlation < 0.85


def test_the_scale_of_the_strengths_does_not_matter():
    chroma = np.array(KRUMHANSL_KESSLER["minor"])
    assert fit_key(chroma * 1e-6 + 3).key == MusicKey(0, "minor")


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_notes_of_equal_strength_have_no_key(strength):
    assert fit_key(np.full(12, strength)) is None
