"""Notifications: tell people how a push ended, in a chat, by mail or by any webhook. Best effort, and never in the way.

`notifier` takes notices and returns at once; `folding` holds repeated ones back; each recipient has a `lane` of its
own, which renders a notice (`content`) and brings it to where its URL leads: plain JSON (`plain`), or one of the
services of Apprise (`services`).
"""
