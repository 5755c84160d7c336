# One name, one record a node, each with its own health check. Route 53 answers with up to eight of the ready ones in
# random order; with none ready it answers as if all were.
terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

locals {
  addresses = merge(
    { for id, node in var.nodes : "${id}-ipv4" => { address = node.ipv4, type = "A" } },
    { for id, node in var.nodes : "${id}-ipv6" => { address = node.ipv6, type = "AAAA" } if node.ipv6 != null },
  )
}

resource "aws_route53_health_check" "node" {
  for_each = local.addresses

  ip_address        = each.value.address
  port              = var.health.port
  type              = var.health.tls ? "HTTPS" : "HTTP"
  resource_path     = var.health.path
  fqdn              = var.name
  enable_sni        = var.health.tls
  request_interval  = 10
  failure_threshold = 1

  tags = {
    Name = "${var.name} ${each.key}"
  }
}

resource "aws_route53_record" "node" {
  for_each = local.addresses

  zone_id                          = var.zone_id
  name                             = var.name
  type                             = each.value.type
  ttl                              = var.ttl
  records                          = [each.value.address]
  set_identifier                   = each.key
  multivalue_answer_routing_policy = true
  health_check_id                  = aws_route53_health_check.node[each.key].id
}

output "health_check_ids" {
  description = "For alarms: the health check of each address."
  value       = { for key, check in aws_route53_health_check.node : key => check.id }
}
