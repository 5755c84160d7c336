variable "name" {
  description = "The name that players use, for example edge.example.com."
  type        = string
}

variable "nodes" {
  description = "Public addresses of the nodes by node id. ipv6 may be left out."
  type = map(object({
    ipv4 = string
    ipv6 = optional(string)
  }))

  validation {
    condition     = length(var.nodes) > 0
    error_message = "Name at least one node: an empty name takes the service down."
  }
}

variable "ttl" {
  description = "Seconds for which resolvers keep an answer: how long a lost node may still be asked for."
  type        = number
  default     = 30
}

variable "health" {
  description = "Where a node says whether it is ready: 200, or 503 while it starts or drains."
  type = object({
    port = optional(number, 3333)
    tls  = optional(bool, false)
    path = optional(string, "/-/health")
  })
  default = {}
}

variable "resource_group_name" {
  description = "Resource group of the Traffic Manager profile and of the DNS zone."
  type        = string
}

variable "zone_name" {
  description = "The Azure DNS zone that keeps the name, for example example.com."
  type        = string
}

variable "relative_name" {
  description = "Label of the profile under trafficmanager.net; unique in the world."
  type        = string
}
