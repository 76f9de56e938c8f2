"""Content in one piece, as the `google-genai` package asks for it."""

from google.genai import types

from checks import check, equal
from genai_client import client, config


@check
def answers_with_every_parameter(target):
    reply = client(target).models.generate_content(
        model=target.model(),
        contents="Grüezi, 世界! 🦀",
        config=config(system_instruction="Be brief.", temperature=0.5, max_output_tokens=64),
    )
    expected = target.echo("Grüezi, 世界! 🦀", system="Be brief.", temperature="0.5", max="64")
    equal(reply.text, expected)
    [candidate] = reply.candidates
    equal((candidate.finish_reason, candidate.content.role), (types.FinishReason.STOP, "model"))
    usage = reply.usage_metadata
    equal(usage.candidates_token_count, len(expected.split()))
    equal(usage.total_token_count, usage.prompt_token_count + usage.candidates_token_count)


@check
def remembers_a_chat(target):
    chat = client(target).chats.create(model=target.model())
    chat.send_message("My name is Ada.")
    equal(chat.send_message("What is my name?").text, target.echo("What is my name?", history=2))


@check
def stops_at_the_limit(target):
    reply = client(target).models.generate_content(
        model=target.model(), contents="!words 9", config=config(max_output_tokens=3)
    )
    equal(
        (reply.text, reply.candidates[0].finish_reason), ("word1 word2 word3", types.FinishReason.MAX_TOKENS)
    )


@check
def models_are_listed(target):
    if "project" not in target.options:
        names = [model.name for model in client(target).models.list()]
        assert set(target.listed) <= set(names), names
