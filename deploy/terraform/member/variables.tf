variable "name" {
  description = "As in the module home."
  type        = string
  default     = "kms-monitor"
}

variable "home" {
  description = "The account that the daemon lives in."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.home))
    error_message = "12 digits."
  }
}

variable "home_region" {
  description = "The Region that the daemon lives in."
  type        = string
}

variable "external_id" {
  description = "What the daemon has to say to be let in; as external_id in its settings."
  type        = string
  sensitive   = true

  validation {
    condition     = can(regex("^[A-Za-z0-9_+=,.@:/-]{2,}$", var.external_id)) && length(var.external_id) <= 1224
    error_message = "2 to 1224 of letters, digits and _+=,.@:/-; a long random word is best."
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

variable "roles" {
  description = "Whether to make the account's roles: in one Region of each account."
  type        = bool
}

variable "events" {
  description = "all: of a Region whose keys are guarded. global: in us-east-1 alone, where no keys are guarded there."
  type        = string
  default     = "all"

  validation {
    condition     = contains(["all", "global"], var.events)
    error_message = "all or global."
  }
}

variable "tags" {
  description = "Tags of all that can have them."
  type        = map(string)
  default     = {}
}
