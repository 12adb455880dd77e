"""How often something may be tried. Kept in PostgreSQL (GCRA), so all processes count together."""

import ipaddress
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Limit:
    """`burst` times a `period`, evenly refilled."""

    name: str
    burst: int
    period: timedelta


#: Passwords tried for one account, from one network, and in all.
ACCOUNT = Limit("account", 5, timedelta(minutes=15))
NETWORK = Limit("network", 50, timedelta(minutes=15))
EVERYONE = Limit("everyone", 3000, timedelta(minutes=15))
#: Wrong passwords one after another before an account's password is good for nothing until
#: another one is chosen by a mailed link (NIST 800-63B 5.2.2). A right one starts anew; so does a
#: year, for the rows of usernames that never existed must end some day.
CONSECUTIVE = Limit("consecutive", 100, timedelta(days=365))
#: Text messages in all; those to one number are configured (`per_number`).
SMS_ALL = Limit("sms-all", 2000, timedelta(hours=1))
#: Mails that somebody asks for without being signed in.
MAIL_ACCOUNT = Limit("mail", 3, timedelta(hours=1))
MAIL_NETWORK = Limit("mail-network", 20, timedelta(hours=1))


def per_number(ten_minutes: int, day: int) -> tuple[Limit, Limit]:
    """Text messages to one number (SMS pumping, trust.md case 10)."""
    return (
        Limit("sms", ten_minutes, timedelta(minutes=10)),
        Limit("sms-day", day, timedelta(days=1)),
    )


def network(address: str) -> str:
    """The network that an address is counted with: /24 of IPv4, /56 of IPv6."""
    try:
        ip = ipaddress.ip_address(address.split("%")[0])
        ip = getattr(ip, "ipv4_mapped", None) or ip  # as a socket for both kinds tells IPv4
    except ValueError:
        return "unknown"
    prefix = 24 if ip.version == 4 else 56
    return str(ipaddress.ip_network(f"{ip}/{prefix}", strict=False))
