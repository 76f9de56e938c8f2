"""Messages in one piece, as the `anthropic` package asks for them."""

from anthropic_client import client, user
from checks import check, equal


@check
def answers_with_every_parameter(target):
    message = client(target).messages.create(
        model=target.model(), max_tokens=64, system="Be brief.", messages=[user("Grüezi, 世界! 🦀")]
    )
    expected = target.echo("Grüezi, 世界! 🦀", system="Be brief.", max="64")
    [block] = message.content
    equal((block.type, block.text), ("text", expected))
    equal((message.type, message.role, message.stop_reason), ("message", "assistant", "end_turn"))
    equal(message.usage.output_tokens, len(expected.split()))
    assert message.usage.input_tokens > 0 and message.id, message


@check
def remembers_what_it_is_told_was_said(target):
    asking = client(target).messages
    turns = [user("My name is Ada.")]
    first = asking.create(model=target.model(), max_tokens=99, messages=turns)
    turns += [{"role": "assistant", "content": first.content}, user("What is my name?")]
    second = asking.create(model=target.model(), max_tokens=99, messages=turns)
    equal(second.content[0].text, target.echo("What is my name?", history=2, max="99"))


@check
def stops_at_the_limit(target):
    message = client(target).messages.create(model=target.model(), max_tokens=3, messages=[user("!words 9")])
    equal((message.content[0].text, message.stop_reason), ("word1 word2 word3", "max_tokens"))
