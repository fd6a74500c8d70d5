"""Makes ``twistd mailstack`` known."""

from twisted.application.service import ServiceMaker

mailstack = ServiceMaker("mailstack", "mailstack.service", "Mail server: SMTP, queue, Maildir, POP3.", "mailstack")
