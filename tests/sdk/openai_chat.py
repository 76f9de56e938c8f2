"""Chat completions in one piece, as the `openai` package asks for them."""

import asyncio

from checks import check, equal
from openai_client import async_client, client, user


@check
def answers_with_every_parameter(target):
    completion = client(target).chat.completions.create(
        model=target.model(),
        messages=[{"role": "system", "content": "Be brief."}, user("Grüezi, 世界! 🦀")],
        temperature=0.5,
        max_completion_tokens=64,
    )
    [choice] = completion.choices
    expected = target.echo("Grüezi, 世界! 🦀", system="Be brief.", temperature="0.5", max="64")
    equal(choice.message.content, expected)
    equal((choice.message.role, choice.finish_reason, choice.index), ("assistant", "stop", 0))
    equal((completion.object, bool(completion.id)), ("chat.completion", True))
    usage = completion.usage
    equal(usage.completion_tokens, len(expected.split()))
    equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)
    assert usage.prompt_tokens > 0, usage


@check
def remembers_what_it_is_told_was_said(target):
    turns = [
        user("My name is Ada."),
        {"role": "assistant", "content": "Hello Ada."},
        user("What is my name?"),
    ]
    completion = client(target).chat.completions.create(
        model=target.model(), messages=turns, max_completion_tokens=99
    )
    equal(completion.choices[0].message.content, target.echo("What is my name?", history=2, max="99"))


@check
def stops_at_the_limit(target):
    completion = client(target).chat.completions.create(
        model=target.model(), messages=[user("!words 9")], max_completion_tokens=3
    )
    equal(
        (completion.choices[0].message.content, completion.choices[0].finish_reason),
        ("word1 word2 word3", "length"),
    )


@check
def answers_several_at_once(target):
    async def ask():
        async with async_client(target) as asking:
            requests = [
                asking.chat.completions.create(model=target.model(), messages=[user(f"!text {number}")])
                for number in range(8)
            ]
            return await asyncio.gather(*requests)

    completions = asyncio.run(ask())
    equal([each.choices[0].message.content for each in completions], [str(number) for number in range(8)])
