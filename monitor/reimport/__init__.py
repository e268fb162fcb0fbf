"""Bringing lost material of imported keys back (aws-facts 3.5).

bring_back   one key: which material is missing, ask the escrows, import, say what was done
  asking     the escrows, in the order of the settings
  imports    the calls of KMS, and what its errors mean
  wrapping   which wrapping goes with which key, and the wrapping itself; pure
  expiry     until when material may be imported; pure
"""
