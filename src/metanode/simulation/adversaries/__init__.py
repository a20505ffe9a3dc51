"""Validators that do not keep the protocol: what they may do with their own keys, and with what passes through their hands.

equivocating   two blocks in one place, two votes, a forgotten certificate, in a conspiracy too
twins          two instances of one key, with a drawn partition for each round
scripted       signs anything, when the scenario says so
mutating       changes bytes and fields of what it hands on
withholding    keeps bodies and votes from some

None of them has the key of anybody else; `corruption.corrupt` takes a node out of the checker's promises.
"""
