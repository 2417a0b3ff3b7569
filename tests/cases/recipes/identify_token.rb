# IDENTIFY_SECRET=... ruby identify_token.rb SITE CRM_ID [VISITOR]
require "json"
require "openssl"

def part(bytes)
  [bytes].pack("m0").tr("+/", "-_").delete("=")
end

def identify_token(secret, site, crm_id, visitor = nil)
  now = Time.now.to_i
  claims = { sub: crm_id.to_s, aud: site, iat: now, exp: now + 600 }
  claims[:vis] = visitor if visitor
  text = "#{part('{"alg":"HS256","typ":"JWT"}')}.#{part(JSON.generate(claims))}"
  "#{text}.#{part(OpenSSL::HMAC.digest('SHA256', secret, text))}"
end

puts identify_token(ENV.fetch("IDENTIFY_SECRET"), *ARGV)
