"""A complete mail server for small offices in one Twisted process.

The way of a letter::

    server/smtp  →  protocol/smtp_server  →  intake/reception  →  spool  →  250
                                                                    ↓ wake
                        delivery/local  ←  queue/dispatch  →  delivery/remote
                              ↓                                     ↓
                          Maildir  →  server/pop3                the net

What it promises:

1. After ``250`` to the data, the message is in the recipients' ``new/``, or in the queue, or its bounce is,
   even if power fails the next microsecond.
2. A message is delivered twice only where a reply or a mark was lost by a crash at that very moment.
3. Nobody but an authenticated user, or a client from ``[relay] networks``, can make this server send mail to a
   foreign domain.
4. No input, from a client, a remote server, DNS, a file or the disk, ends the process, blocks the other sessions
   or reaches a traceback.

``docs/architecture.md`` tells the rest.
"""
