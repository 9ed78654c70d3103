"""Names of the columns and of the metadata keys: the contract with the simulator and the scorer."""

AMOUNT = "TX_AMOUNT"
CUSTOMER = "CUSTOMER_ID"
TERMINAL = "TERMINAL_ID"
DATETIME = "TX_DATETIME"
LABEL = "TX_FRAUD"
SCENARIO = "TX_FRAUD_SCENARIO"

WINDOWS = (1, 7, 30)

FEATURES: tuple[str, ...] = (
    AMOUNT,
    "TX_DURING_WEEKEND",
    "TX_DURING_NIGHT",
    *(
        name
        for days in WINDOWS
        for name in (f"CUSTOMER_ID_NB_TX_{days}DAY_WINDOW", f"CUSTOMER_ID_AVG_AMOUNT_{days}DAY_WINDOW")
    ),
    *(
        name
        for days in WINDOWS
        for name in (f"TERMINAL_ID_NB_TX_{days}DAY_WINDOW", f"TERMINAL_ID_RISK_{days}DAY_WINDOW")
    ),
)
"""The model's inputs, in the order of the tensor's columns."""

INPUT = "features"
LABEL_OUTPUT = "label"
PROBABILITY_OUTPUT = "probabilities"
FRAUD_COLUMN = 1

METADATA_SCHEMA = "v1"
KEY_PREFIX = "fraudops.dev/"


def key(name: str) -> str:
    """The full name of a metadata key in the ONNX file."""
    return KEY_PREFIX + name
