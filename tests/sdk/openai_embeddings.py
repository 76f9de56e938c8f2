"""Embeddings, in both encodings: the package asks for base64 unless told otherwise."""

import math

from checks import check, equal
from openai_client import client


def close(found, expected):
    equal(len(found), len(expected))
    assert all(math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-6) for a, b in zip(found, expected)), (
        found,
        expected,
    )


@check
def one_vector_for_each_text(target):
    texts = ["first text", "second", "first text"]
    reply = client(target).embeddings.create(model=target.model(), input=texts)
    equal([each.index for each in reply.data], [0, 1, 2])
    vectors = [list(each.embedding) for each in reply.data]
    assert vectors[0] == vectors[2] != vectors[1], vectors
    # Google counts no tokens here.
    equal(reply.usage.prompt_tokens, 0 if target.provider in ("gemini", "vertex") else 5)


@check
def both_encodings_are_the_same_vector(target):
    asking = client(target)
    packed = asking.embeddings.create(model=target.model(), input="some text")
    plain = asking.embeddings.create(model=target.model(), input="some text", encoding_format="float")
    close(list(packed.data[0].embedding), plain.data[0].embedding)


@check
def dimensions_are_kept(target):
    reply = client(target).embeddings.create(model=target.model(), input="some text", dimensions=4)
    equal(len(reply.data[0].embedding), 8 if "dimensions" in target.refuses else 4)
