variable "name" {
  description = "The name of all that is made here. The same in every account and Region."
  type        = string
  default     = "kms-monitor"

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9-]{1,39}$", var.name))
    error_message = "2 to 40 letters, digits and hyphens."
  }
}

variable "mode" {
  description = "observe: judge and tell, without the right to write. enforce: put keys back, too."
  type        = string
  default     = "observe"

  validation {
    condition     = contains(["observe", "enforce"], var.mode)
    error_message = "observe or enforce."
  }
}

variable "regions" {
  description = "The Regions whose keys are guarded. Empty: this one."
  type        = list(string)
  default     = []
}

variable "table" {
  description = "Whether to make a DynamoDB table, for several replicas; false for a SQLite file."
  type        = bool
  default     = true
}

variable "canary" {
  description = "Whether to make a key that nothing uses, by which the daemon proves that events arrive."
  type        = bool
  default     = true
}

variable "email" {
  description = "Who is told by mail; has to be confirmed. Empty: nobody."
  type        = string
  default     = ""
}

variable "members" {
  description = "The ids of other accounts whose keys are guarded."
  type        = list(string)
  default     = []
}

variable "organization" {
  description = "The organization, such as o-exampleorgid, whose accounts may send events here and be entered. Empty: only members."
  type        = string
  default     = ""
}

variable "runs_on" {
  description = "Where the daemon runs: eks-pod-identity, eks-irsa, ec2 (with an instance profile), ecs."
  type        = string
  default     = "eks-pod-identity"

  validation {
    condition     = contains(["eks-pod-identity", "eks-irsa", "ec2", "ecs"], var.runs_on)
    error_message = "eks-pod-identity, eks-irsa, ec2 or ecs."
  }
}

variable "cluster" {
  description = "For eks-pod-identity: the EKS cluster. Empty: any of this account, and the association is left to you."
  type        = string
  default     = ""
}

variable "oidc_provider" {
  description = "For eks-irsa: the cluster's issuer without https://, such as oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE."
  type        = string
  default     = ""
}

variable "namespace" {
  description = "The daemon's namespace in the cluster."
  type        = string
  default     = "kms-monitor"
}

variable "service_account" {
  description = "Its service account there."
  type        = string
  default     = "kms-monitor"
}

variable "tags" {
  description = "Tags of all that can have them."
  type        = map(string)
  default     = {}
}
