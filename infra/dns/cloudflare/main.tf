# Plain records at Cloudflare are answered whether or not their node is well, so this is a load balancer that only
# answers DNS (not proxied: media must not pass through Cloudflare, and WebRTC cannot).
terraform {
  required_version = ">= 1.5"
  required_providers {
    cloudflare = {
      source  = "cloudflare/cloudflare"
      version = ">= 5.0"
    }
  }
}

locals {
  addresses = merge(
    { for id, node in var.nodes : "${id}-ipv4" => node.ipv4 },
    { for id, node in var.nodes : "${id}-ipv6" => node.ipv6 if node.ipv6 != null },
  )
}

resource "cloudflare_load_balancer_monitor" "ready" {
  account_id     = var.account_id
  description    = "${var.name}: nodes that are ready"
  type           = var.health.tls ? "https" : "http"
  method         = "GET"
  path           = var.health.path
  port           = var.health.port
  expected_codes = "200"
  # Shorter intervals belong to larger plans.
  interval = 60
  timeout  = 5
  retries  = 1
}

resource "cloudflare_load_balancer_pool" "edges" {
  account_id = var.account_id
  name       = replace(var.name, ".", "-")
  monitor    = cloudflare_load_balancer_monitor.ready.id

  origins = [for id, address in local.addresses : {
    name    = id
    address = address
    enabled = true
    weight  = 1
  }]

  origin_steering = {
    policy = "random"
  }
}

resource "cloudflare_load_balancer" "edges" {
  zone_id         = var.zone_id
  name            = var.name
  default_pools   = [cloudflare_load_balancer_pool.edges.id]
  fallback_pool   = cloudflare_load_balancer_pool.edges.id
  proxied         = false
  ttl             = var.ttl
  steering_policy = "off"
}
