"""What the accounts refuse, each with a stable code. No message holds a name or an address."""

from rooms.errors import RoomsError


class SignInRefused(RoomsError):
    """No such account, another password, or an account that was closed: which, is not told."""

    code = "sign_in.refused"


class SignInRequired(RoomsError):
    """There is no sign-in, or it is over."""

    code = "sign_in.required"


class TooManyFailures(RoomsError):
    """Too many wrong passwords for one account from one address, or too much work waits."""

    code = "rate.limited"


class UserUnknown(RoomsError):
    """Nobody has this address."""

    code = "user.unknown"


class UserExists(RoomsError):
    """Somebody has this address already."""

    code = "user.exists"


class BadEmail(RoomsError):
    """Not an e-mail address."""

    code = "email.malformed"


class BadName(RoomsError):
    """Not a name of 1 to 80 characters in one line."""

    code = "name.malformed"


class PasswordWeak(RoomsError):
    """Too short, or the e-mail address."""

    code = "password.weak"


class ResetInvalid(RoomsError):
    """No such token, or it was used."""

    code = "token.invalid"


class ResetExpired(RoomsError):
    """The token was asked for too long ago."""

    code = "token.expired"
