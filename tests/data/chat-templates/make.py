#!/usr/bin/env python3
"""Renders the templates of this folder, and the snippets, with Hugging Face transformers: writes
rendered.jsonl and snippets.jsonl, which the tests compare with. Needs `pip install transformers jinja2`."""
import datetime
import json
import pathlib

import jinja2
import tokenizers
import transformers
from transformers.utils import chat_template_utils

import snippets

HERE = pathlib.Path(__file__).parent
NOW = datetime.datetime(2026, 3, 5, 14, 7, 9)


class FixedTime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


chat_template_utils.datetime = FixedTime


def outcome(render):
    """{"rendered"}, what raise_exception said ("refused"), or "error": the interpreter's own."""
    try:
        return {"rendered": render()}
    except jinja2.exceptions.UndefinedError as error:
        return {"error": str(error)}
    except (jinja2.exceptions.TemplateSyntaxError, jinja2.exceptions.SecurityError) as error:
        return {"error": str(error)}
    except jinja2.exceptions.TemplateRuntimeError as error:
        return {"error": str(error)}
    except jinja2.exceptions.TemplateError as error:
        return {"refused": str(error)}
    except Exception as error:  # TypeError, ValueError, ...: of Python itself
        return {"error": f"{type(error).__name__}: {error}"}


def render_conversation(source, case, tokens):
    vocabulary = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0}, unk_token="a"))
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=vocabulary, **tokens)
    return outcome(lambda: tokenizer.apply_chat_template(
        case["messages"], tools=case.get("tools"), documents=case.get("documents"), chat_template=source,
        add_generation_prompt=case.get("add_generation_prompt", True), tokenize=False,
        **case.get("variables", {})))


def render_snippet(source):
    def render():
        template = chat_template_utils._compile_jinja_template(source)
        return template.render(messages=[], tools=None, documents=None, add_generation_prompt=True,
                               **snippets.VARIABLES)

    return outcome(render)


def write(name, rows):
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    (HERE / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def main():
    cases = json.loads((HERE / "cases.json").read_text(encoding="utf-8"))
    families = json.loads((HERE / "families.json").read_text(encoding="utf-8"))
    rows = []
    for family, tokens in families.items():
        source = (HERE / "templates" / f"{family}.jinja").read_text(encoding="utf-8")
        for name, case in cases.items():
            rows.append({"template": family, "case": name, **render_conversation(source, case, tokens)})
    write("rendered.jsonl", rows)
    (HERE / "variables.json").write_text(json.dumps(snippets.VARIABLES, ensure_ascii=False) + "\n",
                                         encoding="utf-8")
    write("snippets.jsonl", [{"template": source, **render_snippet(source)}
                             for source in snippets.snippets() + snippets.BLOCKS])
    print(len(rows), "conversations:", sum("rendered" in row for row in rows), "rendered,",
          sum("refused" in row for row in rows), "refused;", transformers.__version__, jinja2.__version__)


if __name__ == "__main__":
    main()
