"""`kms-monitor material`: makes key material, imports it, and says whether the escrows have the right one.

command     the command line
  importing   parameters -> wrap -> import, in one go or step by step
  verifying   which material the escrows have, and what proves that it is right
  records     what was imported and which tokens were used; nothing secret
  desk        what the commands share: settings, KMS, escrows, files
"""
