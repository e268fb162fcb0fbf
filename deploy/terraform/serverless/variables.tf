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

variable "code_bucket" {
  description = "The bucket in this Region that the zip lies in (make lambda-zip)."
  type        = string
}

variable "code_key" {
  description = "The zip's key there."
  type        = string
}

variable "code_version" {
  description = "Its version, where the bucket keeps versions. Null: the newest."
  type        = string
  default     = null
}

variable "runtime" {
  description = "The Python that the zip was made for: it is in its name."
  type        = string
  default     = "python3.13"

  validation {
    condition     = contains(["python3.14", "python3.13", "python3.12", "python3.11"], var.runtime)
    error_message = "python3.11 to python3.14."
  }
}

variable "architecture" {
  description = "The processor that the zip was made for: it is in its name."
  type        = string
  default     = "arm64"

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "arm64 or x86_64."
  }
}

variable "memory" {
  description = "MB. The processor's share grows with it; below 512 a cold start takes seconds."
  type        = number
  default     = 1024
}

variable "concurrency" {
  description = "How many calls at once are kept for this function, and are the most of it. Null: as many as the account has left; then others of the account can use them up."
  type        = number
  default     = null
}

variable "settings_parameter" {
  description = "A parameter of Systems Manager that holds the settings, such as /kms-monitor/settings. Empty: those of the output settings are in the function's environment."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(/[A-Za-z0-9_./-]{1,1000})?$", var.settings_parameter))
    error_message = "Empty, or a name that begins with a slash."
  }
}

variable "sweep_every" {
  description = "How often it looks at all keys without being told of anything. never: what no event told of stays as it is."
  type        = string
  default     = "1 hour"

  validation {
    condition     = contains(["15 minutes", "1 hour", "6 hours", "never"], var.sweep_every)
    error_message = "15 minutes, 1 hour, 6 hours or never."
  }
}

variable "log_days" {
  description = "Days that its log is kept."
  type        = number
  default     = 90
}

variable "config_rule" {
  description = "Whether AWS Config asks the function about each key, too. Its recorder must be on and record AWS::KMS::Key."
  type        = bool
  default     = false
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

variable "tags" {
  description = "Tags of all that can have them."
  type        = map(string)
  default     = {}
}
