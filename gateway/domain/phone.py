"""Mobile numbers."""

from collections.abc import Collection

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType

_MOBILE = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)


def mobile(text: str, countries: Collection[str] = ("NL",)) -> str | None:
    """The number in E.164 ("+31612345678"); None unless it is a mobile number of a country
    that messages may go to (SMS pumping, trust.md case 10). Without "+", it is Dutch."""
    try:
        number = phonenumbers.parse(text, "NL")
    except NumberParseException:
        return None
    region = phonenumbers.region_code_for_number(number)
    if region not in countries or not phonenumbers.is_valid_number(number):
        return None
    if phonenumbers.number_type(number) not in _MOBILE:
        return None
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def masked(number: str) -> str:
    """All but the country and the last three digits hidden: "+31 6 ••••• 235"."""
    keep = 4 if number.startswith("+316") else 3
    head = "+31 6" if keep == 4 else number[:keep]
    return f"{head} {'•' * max(0, len(number) - keep - 3)} {number[-3:]}"
