"""What `analyze` and `batch` ask: recipes by name and as files, questions, and files of them."""

import json

import pytest

from flamingo.commands.catalogue import asked
from flamingo_common.errors import BadRequest

LAUGHS = "a0: &a0 [x, x]\n" + "".join(
    f"a{at}: &a{at} [*a{at - 1}, *a{at - 1}, *a{at - 1}]\n" for at in range(1, 40)
)
MEASURED = """
name: tempo
description: The tempo.
prompt: How fast is it?
measured: {bpm: tempo_bpm}
schema: {type: object, properties: {bpm: {type: integer}}}
"""
RECIPE = """
name: instruments
description: The instruments.
prompt: Which instruments play?
max_tokens: 200
schema: {type: array, items: {type: string}}
"""


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def test_questions_come_before_those_of_a_file_and_recipes(write):
    file = write("q.yaml", "mood: What mood?\nkey: {prompt: Which key, max_tokens: 3}\n")
    found = asked.questions(["card", "card", str(write("i.yaml", RECIPE))], ["Live?"], file)
    schema = {"name": "instruments", "schema": {"type": "array", "items": {"type": "string"}}}
    assert found == [
        {"name": "question-1", "prompt": "Live?"},
        {"name": "mood", "prompt": "What mood?"},
        {"name": "key", "prompt": "Which key", "max_tokens": 3},
        {"name": "card", "recipe": "card"},
        {
            "name": "instruments",
            "prompt": "Which instruments play?",
            "max_tokens": 200,
            "response_format": {"type": "json_schema", "json_schema": schema},
        },
    ]
    assert asked.headings(found) == {"question-1": "Live?"}
    assert asked.questions(None, None, None) == []


def test_a_list_in_json_is_a_file_of_questions_too(write):
    listed = [{"name": "tags", "decisions": [{"type": "predicate", "instructions": "It is live."}]}]
    assert asked.questions(None, None, write("q.json", json.dumps(listed))) == listed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("just text", "q.yaml: must have questions by name, or a list of questions"),
        ("{}", "q.yaml: there are no questions"),
        ("mood: 3", "q.yaml: the question 'mood' must be a prompt or a mapping, not int"),
        ("- What mood?", "q.yaml: a question in a list must be a mapping with a name"),
        ("mood: {prompt: a, recipe: b}", "exactly one of prompt, style, recipe and decisions"),
        ("mood: {prompt: a, tempe: 1}", "q.yaml: .*tempe"),
        ("'a mood': b", r"q.yaml: questions\[0\].name"),
        ("[", "q.yaml is not YAML"),
        ("a: *b", "q.yaml is not YAML"),
    ],
)
def test_a_file_without_valid_questions_is_refused_with_its_name(write, text, message):
    with pytest.raises(BadRequest, match=message):
        asked.questions(None, None, write("q.yaml", text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a", "r.yaml: .*prompt"),
        ("- a", "r.yaml: must have the fields of a recipe"),
        ("\x00", "r.yaml: is not valid YAML"),
        (RECIPE + "parser: lyrics", "r.yaml: parser: must be 'sections'"),
        (LAUGHS, "r.yaml: has more than 20000 values"),
        ("a: " + "b" * 70_000, "r.yaml: is larger than 65536 bytes"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused_with_its_name(write, text, message):
    with pytest.raises(BadRequest, match=message):
        asked.questions([str(write("r.yaml", text))], None, None)


def test_a_recipe_file_names_what_can_be_measured(write):
    (question,) = asked.questions([str(write("r.yaml", MEASURED))], None, None)
    assert question["measured"] == {"bpm": "tempo_bpm"}


def test_a_recipe_file_says_how_its_answer_is_read(write):
    (question,) = asked.questions([str(write("r.yaml", RECIPE + "parser: sections"))], None, None)
    assert question["parser"] == "sections"


@pytest.mark.parametrize(
    ("recipes", "texts", "message"),
    [
        (["gone.yaml"], None, "cannot read the recipe gone.yaml: no such file or directory"),
        (["a b"], None, r"questions\[0\].name"),
        (None, [""], r"questions\[0\].prompt"),
        (None, ["a"] * 33, "questions: .*32"),
    ],
)
def test_what_cannot_be_asked_is_refused(recipes, texts, message):
    with pytest.raises(BadRequest, match=message):
        asked.questions(recipes, texts, None)


def test_two_recipes_of_one_name_are_refused(write):
    own = str(write("i.yaml", RECIPE))
    with pytest.raises(BadRequest, match="two questions or recipes have the name 'instruments'"):
        asked.questions(["instruments", own], None, None)
