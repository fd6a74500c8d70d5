"""What an enhanced status code means for a person: what happened, and who can do what about it."""

from __future__ import annotations

from attrs import frozen

from mailstack.model.reply import Reply


@frozen
class Advice:
    happened: str
    act: str


CHECK_ADDRESS = "Please check the address for typing mistakes, correct it and send the message again."
ASK_OTHERWISE = "Please ask the recipient, by telephone or another address, which address is right."
THEIR_TURN = "Only the administrator of that server can change this; tell the recipient about it some other way."
OUR_TURN = "Please tell your own postmaster, and include this report."
LESS = "Please send less: smaller attachments, or a link to a file instead of the file."
REWORD = "Please do not simply send it again; ask the recipient, some other way, how to reach them."

#: By subject and detail of RFC 3463 ("1.1"), then by subject alone ("1"); whatever is missing has no entry.
ADVICE = {
    "1": Advice("The address was not accepted.", CHECK_ADDRESS),
    "1.1": Advice("There is no such mailbox at that domain.", CHECK_ADDRESS),
    "1.2": Advice("The domain of the address does not exist, or has no mail server.", CHECK_ADDRESS),
    "1.10": Advice("The domain of the address states that it does not take any mail.", ASK_OTHERWISE),
    "2": Advice("The mailbox exists, but cannot take the message.", ASK_OTHERWISE),
    "2.1": Advice("The mailbox is closed.", ASK_OTHERWISE),
    "2.2": Advice("The mailbox is full.", "Only the recipient can make room; tell them some other way."),
    "3": Advice("The server has a problem of its own.", THEIR_TURN),
    "3.4": Advice("The message is bigger than the server takes.", LESS),
    "4": Advice("The server could not be reached, or the connection did not last.", THEIR_TURN),
    "4.6": Advice("The message goes round in a circle between servers.", OUR_TURN),
    "4.7": Advice("It was neither delivered nor fetched in the time for which a message may wait.", THEIR_TURN),
    "5": Advice("The two servers did not understand each other.", OUR_TURN),
    "5.3": Advice("The message has more recipients than the server takes at once.", "Please send it to fewer people."),
    "6": Advice("The server does not take this kind of message.", "Please send the message in a simpler form."),
    "7": Advice("The server refuses the message because of its rules, for instance against spam.", REWORD),
}
UNKNOWN = Advice("The server did not take the message; its own words are below.", THEIR_TURN)


def advice(reply: Reply) -> Advice:
    """From the status; what its class says (temporary, permanent) is not told here."""
    _, _, subject_and_detail = reply.status.partition(".")
    subject = subject_and_detail.partition(".")[0]
    return ADVICE.get(subject_and_detail) or ADVICE.get(subject) or UNKNOWN
