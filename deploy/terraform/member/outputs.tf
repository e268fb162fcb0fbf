output "role_arn" {
  description = "The role that the daemon assumes, as role_arn in its settings; null where none is made."
  value       = one(aws_iam_role.daemon[*].arn)
}
