"""Recipes: those of the package, those of a folder, and what is wrong with them."""

import pytest

from flamingo_common.recipes import folder
from flamingo_common.recipes.recipe import MAX_RECIPE_BYTES, RecipeInvalid, parse_recipe

ALIASES = (
    "[&a [x, x, x, x, x, x, x, x, x, x]"
    + "".join(
        f", &{name} [{', '.join([f'*{before}'] * 10)}]"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "]"
)
"""A billion values in 400 bytes."""
VALID = "name: tempo\ndescription: The tempo.\nprompt: How fast is it?\n"


@pytest.fixture
def recipes(tmp_path):
    """Write files, and return their folder."""

    def write(**contents):
        for name, content in contents.items():
            (tmp_path / f"{name}.yaml").write_text(content)
        return tmp_path

    return write


def test_the_package_has_recipes_for_cards_lyrics_structure_and_training():
    assert set(folder.load(None)) == {"ace-step", "card", "lyrics", "structure"}


def test_a_folder_adds_recipes_and_replaces_those_with_its_names(recipes):
    own = recipes(tempo=VALID, card=VALID.replace("tempo\n", "card\n", 1))
    loaded = folder.load(own)
    assert set(loaded) == {"ace-step", "card", "lyrics", "structure", "tempo"}
    assert loaded["card"].prompt == "How fast is it?"
    assert loaded["card"].schema_ is None


def test_the_suffix_of_a_recipe_can_be_in_capitals(tmp_path):
    (tmp_path / "tempo.YAML").write_text(VALID)
    assert "tempo" in folder.load(tmp_path)


def test_a_mounted_config_map_is_read_through_its_links(tmp_path):
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "tempo.yaml").write_text(VALID)
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "tempo.yaml").symlink_to("..data/tempo.yaml")
    assert "tempo" in folder.load(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name: [", r"tempo.yaml: is not valid YAML \(line"),
        (VALID + "name: !!set [a]\n", r"is not valid YAML \(line 4: expected a mapping node"),
        ("- a", "tempo.yaml: must have the fields of a recipe: name, description, prompt"),
        ("name: tempo\nprompt: a\n", "tempo.yaml: description: is required"),
        (VALID + "max_token: 3\n", "parameter 'max_token' is unknown; did you mean 'max_tokens'"),
        (VALID + "max_tokens: 0\n", "max_tokens: must be a whole number from 1 to 32768"),
        (VALID + "parser: lyrics\n", "parser: must be 'sections'"),
        (VALID + "schema: 3\n", "schema: must be an object, not a number"),
        (VALID + "schema: {default: 2026-01-01}\n", "schema: must have only what JSON has"),
        (VALID.replace("name: tempo", "name: My Tempo"), "name: must be 1 to 64 characters of"),
        ("\xff\xfe: \x00", "tempo.yaml: is not valid YAML"),
    ],
)
def test_a_wrong_recipe_is_refused_with_its_file_and_field(recipes, content, message):
    with pytest.raises(RecipeInvalid, match=message):
        folder.load(recipes(tempo=content))


@pytest.mark.parametrize("aliases", ["&a [*a]", ALIASES], ids=["endless", "many"])
def test_aliases_that_repeat_without_bounds_are_refused(recipes, aliases):
    with pytest.raises(RecipeInvalid, match=r"tempo\.yaml: has more than 20000 values"):
        folder.load(recipes(tempo=f"{VALID}schema:\n  enum: {aliases}\n"))


def test_a_file_in_another_encoding_says_so(tmp_path):
    (tmp_path / "tempo.yaml").write_bytes(VALID.replace("fast", "pr\xeato").encode("latin-1"))
    with pytest.raises(RecipeInvalid, match=r"is not valid YAML \(invalid continuation byte"):
        folder.load(tmp_path)


def test_all_wrong_recipes_are_listed(recipes):
    with pytest.raises(RecipeInvalid, match=r"a\.yaml: .*; b\.yaml: name: 'tempo' is in another"):
        folder.load(recipes(a="x: 1", aa=VALID, b=VALID))


def test_a_large_file_is_not_read(recipes):
    with pytest.raises(RecipeInvalid, match="is larger than 65536 bytes"):
        folder.load(recipes(tempo=VALID + "#" * MAX_RECIPE_BYTES))


def test_a_folder_without_recipes_is_an_error(tmp_path):
    with pytest.raises(RecipeInvalid, match="has no recipes: files named NAME"):
        folder.load(tmp_path)
    with pytest.raises(RecipeInvalid, match="No such file or directory"):
        folder.load(tmp_path / "missing")


def test_a_file_that_cannot_be_read_is_named(recipes):
    place = recipes(tempo=VALID)
    (place / "gone.yaml").symlink_to("nowhere")
    (place / "loop.yaml").symlink_to("loop.yaml")
    faults = r"gone\.yaml: No such file or directory; loop\.yaml: Too many levels"
    with pytest.raises(RecipeInvalid, match=faults):
        folder.load(place)


def test_aliases_that_repeat_themselves_end():
    with pytest.raises(RecipeInvalid):
        parse_recipe(VALID.encode() + b"schema: &a {b: *a}\n", "tempo.yaml")
