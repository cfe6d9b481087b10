"""The built-in probe texts: public, short, of several kinds, so that most base models have something to say on each.

They are part of the policy: another wording is another policy, and every adapter is measured anew.
"""

TEXTS: tuple[str, ...] = (
    "The ferry leaves the harbour at half past six, and on clear days you can see the lighthouse from the upper deck.",
    "Question: How long must an egg boil until it is hard?\nAnswer: About nine minutes; then cool it in cold water.",
    "def mean(values):\n    if not values:\n        raise ValueError('none')\n    return sum(values) / len(values)\n",
    "Der Schlüssel liegt unter der Matte; bitte schließ die Tür ab, wenn du gehst.",
    "Thank you for your message. We have your order; the invoice follows within two days.",
    "In 1897 the town counted 4,312 people; by 1920 it was 6,045, an increase of about 40 percent.",
)
