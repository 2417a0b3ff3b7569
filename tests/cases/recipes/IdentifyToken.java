// IDENTIFY_SECRET=... java IdentifyToken.java SITE CRM_ID [VISITOR]
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Base64;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

public class IdentifyToken {
    static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static String part(byte[] bytes) {
        return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
    }

    static String quoted(String text) {
        return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"") + '"';
    }

    static String identifyToken(String secret, String site, String crmId, String visitor) throws Exception {
        long now = Instant.now().getEpochSecond();
        String claims = "{\"sub\":" + quoted(crmId) + ",\"aud\":" + quoted(site)
            + ",\"iat\":" + now + ",\"exp\":" + (now + 600)
            + (visitor.isEmpty() ? "" : ",\"vis\":" + quoted(visitor)) + "}";
        String text = part(utf8("{\"alg\":\"HS256\",\"typ\":\"JWT\"}")) + "." + part(utf8(claims));
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(utf8(secret), "HmacSHA256"));
        return text + "." + part(mac.doFinal(utf8(text)));
    }

    public static void main(String[] words) throws Exception {
        String visitor = words.length > 2 ? words[2] : "";
        System.out.println(identifyToken(System.getenv("IDENTIFY_SECRET"), words[0], words[1], visitor));
    }
}
