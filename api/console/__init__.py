"""The console: pages for people, drawn on the server, complete without a script, nothing from another host.

The same pages stand in three places, and the place decides what can be done there:

- at the exchange, for whoever comes by a link that a party's key has signed: reading only, since acting takes a key;
- at an asker's desk, on loopback beside the key that opens answers: asking, requesting, pledging;
- at an institution's node, on loopback beside its ledger: budgets, policies, what was learned.

``places`` says what a page may lean on, ``pages`` what a page is, ``doors`` who comes in, ``serving`` turns pages into routes,
``wording`` speaks both languages and ``charts`` draws. ``everywhere`` holds the pages of every place, ``desk`` and ``node`` their own.
"""
