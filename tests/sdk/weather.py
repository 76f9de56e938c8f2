"""A class that answers in JSON are parsed into, with every type the simulated model knows."""

from typing import Literal

from pydantic import BaseModel


class Weather(BaseModel):
    """What the answer must be."""

    city: str
    degrees: int
    humidity: float
    sunny: bool
    wind: Literal["north", "south"]


# What the simulated model makes of that schema.
EXPECTED = Weather(city="text", degrees=7, humidity=1.5, sunny=True, wind="north")

QUESTION = "The weather in Zürich, as JSON."
