"""The request of the reference API and its three rules, for both Python peers."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import HTTPException
from pydantic import BaseModel, Field

BLOCKED_CUSTOMERS = frozenset({323, 1693, 4354, 4259, 3879, 3544, 2375})
BLOCKED_TERMINALS = frozenset({4692, 4923, 79, 3769, 5899, 9251})

Number = Annotated[float, Field(allow_inf_nan=False)]


class Transaction(BaseModel):
    """All 21 fields are required; unknown ones are ignored."""

    TRANSACTION_ID: int
    TX_DATETIME: datetime
    CUSTOMER_ID: int
    TERMINAL_ID: int
    TX_TIME_SECONDS: int
    TX_TIME_DAYS: int
    TX_AMOUNT: Number
    TX_DURING_WEEKEND: Literal[0, 1]
    TX_DURING_NIGHT: Literal[0, 1]
    CUSTOMER_ID_NB_TX_1DAY_WINDOW: Number
    CUSTOMER_ID_AVG_AMOUNT_1DAY_WINDOW: Number
    CUSTOMER_ID_NB_TX_7DAY_WINDOW: Number
    CUSTOMER_ID_AVG_AMOUNT_7DAY_WINDOW: Number
    CUSTOMER_ID_NB_TX_30DAY_WINDOW: Number
    CUSTOMER_ID_AVG_AMOUNT_30DAY_WINDOW: Number
    TERMINAL_ID_NB_TX_1DAY_WINDOW: Number
    TERMINAL_ID_RISK_1DAY_WINDOW: Number
    TERMINAL_ID_NB_TX_7DAY_WINDOW: Number
    TERMINAL_ID_RISK_7DAY_WINDOW: Number
    TERMINAL_ID_NB_TX_30DAY_WINDOW: Number
    TERMINAL_ID_RISK_30DAY_WINDOW: Number


FEATURES = tuple(Transaction.model_fields)[6:]
"""The model's inputs, in the order of its columns."""


def features(transaction: Transaction) -> list[float]:
    """The 15 inputs as a row."""
    return [getattr(transaction, name) for name in FEATURES]


def refuse_blocked(transaction: Transaction) -> None:
    """403 when one of the rules stops the transaction."""
    amount, average = transaction.TX_AMOUNT, transaction.CUSTOMER_ID_AVG_AMOUNT_7DAY_WINDOW
    if transaction.CUSTOMER_ID in BLOCKED_CUSTOMERS:
        raise HTTPException(403, "the customer is blocked")
    if transaction.TERMINAL_ID in BLOCKED_TERMINALS:
        raise HTTPException(403, "the terminal is blocked")
    if average > 0 and amount > 100 and amount > 5 * average:
        raise HTTPException(403, "the amount is far above the customer's average")
