"""The files of answers to several questions, as trainers and players read them."""

import json

import pytest
from fakes import answering_pod
from fakes.answering_pod import ACE_STEP, CARD, RECIPES

from flamingo.batch.outputs import answer_files
from flamingo.commands.catalogue import batch_questions
from flamingo_common.errors import BadRequest


def written(*questions, **changes):
    answers = {
        one["name"]: answering_pod.answer(one).model_copy(update=changes) for one in questions
    }
    return dict(answer_files.files(answers, 60.0))


def recipe(name):
    return {"name": name, "recipe": name}


def test_ace_step_has_a_caption_lyrics_and_the_rest_as_json():
    files = written(recipe("ace-step"))
    rest = {name: value for name, value in ACE_STEP.items() if name != "lyrics"}
    assert files == {
        ".caption.txt": "A calm waltz.\n",
        ".lyrics.txt": "[Verse 1]\nGrey is the harbour\n",
        ".json": json.dumps(rest) + "\n",
    }


@pytest.mark.parametrize("lyrics", ["[Instrumental]", " ", "[instrumental]\n"])
def test_an_instrumental_has_no_lyrics_as_ace_step_understands_it(lyrics):
    files = written(recipe("ace-step"), parsed={**ACE_STEP, "lyrics": lyrics})
    assert [*files] == [".caption.txt", ".json"]


def test_lyrics_have_headings_without_times_and_an_lrc_file_has_the_times():
    assert written(recipe("lyrics")) == {
        ".lyrics.txt": "[Verse 1]\nGrey is the harbour\n\n[Chorus]\nSlow\n",
        ".lrc": "[00:00.10]Grey is the harbour\n[00:00.20]Slow\n",
    }


def test_sections_without_lines_stay_as_the_model_wrote_them():
    assert written(recipe("lyrics"), sections=[]) == {".lyrics.txt": answering_pod.SHEET + "\n"}


def test_other_answers_have_the_names_of_their_questions():
    files = written({"name": "mood", "prompt": "?"}, recipe("card"))
    assert files == {".mood.txt": "calm\n", ".card.json": json.dumps(CARD) + "\n"}


def test_an_answer_that_failed_has_no_file():
    assert written({"name": "mood", "prompt": "fail"}) == {}


@pytest.mark.parametrize(
    ("questions", "message"),
    [
        (
            [recipe("ace-step"), recipe("lyrics")],
            "'ace-step' and 'lyrics' would both be the sidecar SONG.lyrics.txt",
        ),
        (
            [recipe("ace-step"), {"name": "caption", "style": "brief"}],
            "'ace-step' and 'caption' would both be the sidecar SONG.caption.txt",
        ),
    ],
)
def test_two_answers_that_would_be_one_file_are_refused(questions, message):
    forms = batch_questions.forms(questions, RECIPES)
    with pytest.raises(BadRequest, match=message):
        answer_files.check(forms)


def test_different_files_are_accepted():
    answer_files.check(batch_questions.forms([recipe("card"), recipe("lyrics")], RECIPES))
