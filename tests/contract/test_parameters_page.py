"""`docs/api.md` has the table of parameters; running this file writes it."""

import json
from pathlib import Path

from flamingo_common.wire import (
    decision_parameters,
    message_parameters,
    openai_responses_parameters,
    parameters,
    transcriptions_parameters,
)

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
START = "<!-- Written by `python tests/contract/test_parameters_page.py`. -->\n"
END = "<!-- End of what is written. -->\n"
OBJECTS = {
    "a message": message_parameters.MESSAGE,
    "a text part": message_parameters.TEXT_PART,
    "an `input_audio` part": message_parameters.INPUT_AUDIO_PART,
    "an `audio_url` part": message_parameters.AUDIO_URL_PART,
    "`input_audio` and `audio`": message_parameters.AUDIO,
    "`audio_url`": message_parameters.AUDIO_URL,
    "`stream_options`": message_parameters.STREAM_OPTIONS,
    "`response_format`": message_parameters.RESPONSE_FORMAT,
    "`json_schema`": message_parameters.JSON_SCHEMA,
    "a message of `/v1/responses`": openai_responses_parameters.MESSAGE_ITEM,
    "an `input_text` part": openai_responses_parameters.INPUT_TEXT,
    "an `output_text` part": openai_responses_parameters.OUTPUT_TEXT,
    "an `input_file` part": openai_responses_parameters.INPUT_FILE,
    "a `function_call`": openai_responses_parameters.CALL_ITEM,
    "a `function_call_output`": openai_responses_parameters.RESULT_ITEM,
    "`text`": openai_responses_parameters.TEXT_CONFIG,
    "`text.format`": openai_responses_parameters.TEXT_FORMAT,
    "`tools` of `/v1/responses`": openai_responses_parameters.FUNCTION_TOOL,
    "a message of `/v1/decisions`": decision_parameters.INPUT_MESSAGE,
    "an `input_text` part of decisions": decision_parameters.INPUT_TEXT,
    "an `input_json` part": decision_parameters.INPUT_JSON,
    "a choice question": decision_parameters.CHOICE_QUESTION,
    "a score question": decision_parameters.SCORE_QUESTION,
}
OF_RESPONSES = {
    name: row
    for name, row in openai_responses_parameters.RESPONSES.items()
    if parameters.GENERATION.get(name) != row
}
"""The parameters of `/v1/responses` that are not as in chat."""
OF_TRANSCRIPTIONS = {
    name: row
    for name, row in transcriptions_parameters.TRANSCRIPTION.items()
    if parameters.GENERATION.get(name) != row
}
"""The parameters of `/v1/audio/transcriptions` that are not as in captions."""


def named(names):
    return ", ".join(f"`{name}`" for name in names)


def of(table, status):
    return [row for row in table.values() if row.status == status]


def implemented():
    chat = [row.name for row in of(parameters.GENERATION, "implemented")]
    tables = {
        "chat, captions and analysis": chat,
        "chat only": [name for name in names(parameters.CHAT) if name not in chat],
        "captions and analysis only": [
            name for name in names(parameters.CAPTION) if name not in chat
        ],
        "`/v1/responses`": names(openai_responses_parameters.RESPONSES),
        "`/v1/audio/transcriptions`": names(transcriptions_parameters.TRANSCRIPTION),
        "`/v1/audio/embeddings`": names(parameters.EMBEDDINGS),
        "`/v1/embeddings`": names(parameters.OPENAI_EMBEDDINGS),
        "`/v1/decisions`": names(decision_parameters.DECISIONS),
    }
    yield "| implemented by | parameters |\n| --- | --- |"
    yield from (f"| {where} | {named(each)} |" for where, each in tables.items())


def names(table):
    return [row.name for row in of(table, "implemented")]


def grouped(rows, cells):
    """Return the lines of a table; parameters with the same cells share one."""
    groups = {}
    for row in rows:
        groups.setdefault(cells(row), []).append(row.name)
    for each, found in groups.items():
        yield f"| {named(found)} | {' | '.join(each)} |"


def ignored(table):
    yield "| ignored | of | why it changes nothing |\n| --- | --- | --- |"
    yield from grouped(of(table, "ignored"), lambda row: (row.api, row.reason))


def refused(table):
    yield "| refused | of | unless | why, and what to use |\n| --- | --- | --- | --- |"
    yield from grouped(of(table, "refused"), lambda row: (row.api, unless(row), row.reason))


def unless(row):
    return ", ".join(f"`{json.dumps(value)}`" for value in row.harmless)


def objects():
    yield "| in | implemented | ignored | refused |\n| --- | --- | --- | --- |"
    for where, table in OBJECTS.items():
        cells = [named([row.name for row in of(table, status)]) for status in STATUSES]
        yield f"| {where} | {' | '.join(cells)} |"


STATUSES = ("implemented", "ignored", "refused")


def written():
    parts = [
        implemented(),
        ["In chat, captions and analysis:"],
        ignored(parameters.GENERATION),
        refused(parameters.GENERATION),
        ["For `/v1/responses`, beside those of chat:"],
        ignored(OF_RESPONSES),
        refused(OF_RESPONSES),
        ["For `/v1/audio/transcriptions`, beside those of captions:"],
        ignored(OF_TRANSCRIPTIONS),
        refused(OF_TRANSCRIPTIONS),
        ["For embeddings:"],
        ignored(parameters.OPENAI_EMBEDDINGS),
        refused(parameters.OPENAI_EMBEDDINGS),
        ["For decisions:"],
        ignored(decision_parameters.DECISIONS),
        refused(decision_parameters.DECISIONS),
        ["Inside other objects:"],
        objects(),
    ]
    return "\n" + "\n\n".join("\n".join(part) for part in parts) + "\n\n"


def page(text):
    before, _, rest = text.partition(START)
    return before + START + written() + END + rest.partition(END)[2]


def test_the_table_is_up_to_date():
    text = PAGE.read_text(encoding="utf-8")
    assert START in text
    assert text == page(text)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
