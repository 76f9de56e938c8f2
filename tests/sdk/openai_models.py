"""The list of models."""

from checks import check, equal
from openai_client import client


@check
def models_are_listed(target):
    models = list(client(target).models.list())
    equal({model.object for model in models}, {"model"})
    missing = set(target.listed) - {model.id for model in models}
    assert not missing, f"{missing} of {models}"
