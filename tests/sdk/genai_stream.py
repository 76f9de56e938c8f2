"""Content as it is written."""

from google.genai import errors, types

from checks import check, equal, raises
from genai_client import client


@check
def pieces_make_the_whole(target):
    stream = client(target).models.generate_content_stream(model=target.model(), contents="one two three")
    pieces = list(stream)
    expected = target.echo("one two three")
    equal("".join(piece.text or "" for piece in pieces), expected)
    assert len(pieces) > 3, pieces
    equal(pieces[-1].candidates[0].finish_reason, types.FinishReason.STOP)
    equal(pieces[-1].usage_metadata.candidates_token_count, len(expected.split()))


@check
def a_failure_in_the_middle_is_raised(target):
    seen = []
    with raises(errors.APIError):
        stream = client(target).models.generate_content_stream(
            model=target.model("m", "error-event=3"), contents="one two three four"
        )
        seen.extend(piece.text for piece in stream)
    assert seen, "nothing came before"
