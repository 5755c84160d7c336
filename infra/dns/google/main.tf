# One name, weighted round robin over the nodes that are ready: each answer names one. One address an item, so that it
# works in a signed zone (DNSSEC), too.
terraform {
  required_version = ">= 1.5"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.0"
    }
  }
}

locals {
  ipv4 = { for id, node in var.nodes : id => node.ipv4 }
  ipv6 = { for id, node in var.nodes : id => node.ipv6 if node.ipv6 != null }
  # Cloud DNS checks an external address from three regions, every 30 s at the most often.
  check_interval_sec = 30
}

resource "google_compute_health_check" "node" {
  name                = "${replace(var.name, ".", "-")}-ready"
  source_regions      = var.source_regions
  check_interval_sec  = local.check_interval_sec
  timeout_sec         = 5
  healthy_threshold   = 1
  unhealthy_threshold = 1

  dynamic "http_health_check" {
    for_each = var.health.tls ? [] : [var.health]
    content {
      port         = http_health_check.value.port
      request_path = http_health_check.value.path
      host         = var.name
    }
  }

  dynamic "https_health_check" {
    for_each = var.health.tls ? [var.health] : []
    content {
      port         = https_health_check.value.port
      request_path = https_health_check.value.path
      host         = var.name
    }
  }
}

resource "google_dns_record_set" "node" {
  for_each = { for type, addresses in { A = local.ipv4, AAAA = local.ipv6 } : type => addresses if length(addresses) > 0 }

  managed_zone = var.managed_zone
  name         = "${var.name}."
  type         = each.key
  ttl          = var.ttl

  routing_policy {
    health_check = google_compute_health_check.node.id

    dynamic "wrr" {
      for_each = each.value
      content {
        weight = 1

        health_checked_targets {
          external_endpoints = [wrr.value]
        }
      }
    }
  }
}
