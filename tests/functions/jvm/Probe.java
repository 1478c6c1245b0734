import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A function on the JVM that does what its event says, and the loop over the Runtime API that runs it,
 * on nothing but the JDK: it stands for functions whose language runtime is a JVM.
 *
 * <p>All fields of the event are optional and strings: {@code fail} is the message of an exception to
 * throw, {@code exit} the code to end the process with, {@code call} a function to call and {@code
 * payload} the JSON to call it with.
 */
public final class Probe {
    private static final HttpClient HTTP =
            HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

    /** A request of the Runtime API, ready to be answered. */
    private record Event(String requestId, String trace, String deadlineMs, String payload) {}

    public static void main(String[] arguments) throws Exception {
        String invocation =
                "http://" + System.getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/";
        while (true) {
            Event event = next(invocation);
            try {
                post(invocation + event.requestId() + "/response", handle(event), "");
            } catch (RuntimeException exception) {
                String type = exception.getClass().getName();
                post(invocation + event.requestId() + "/error", error(type, exception), type);
            }
        }
    }

    private static Event next(String invocation) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(invocation + "next")).build();
        HttpResponse<String> response = HTTP.send(request, BodyHandlers.ofString());
        return new Event(
                header(response, "Lambda-Runtime-Aws-Request-Id"),
                header(response, "Lambda-Runtime-Trace-Id"),
                header(response, "Lambda-Runtime-Deadline-Ms"),
                response.body());
    }

    private static void post(String uri, String body, String errorType) throws Exception {
        HttpRequest.Builder request =
                HttpRequest.newBuilder(URI.create(uri))
                        .header("Content-Type", "application/json")
                        .POST(BodyPublishers.ofString(body));
        if (!errorType.isEmpty()) {
            request.header("Lambda-Runtime-Function-Error-Type", errorType);
        }
        HTTP.send(request.build(), BodyHandlers.discarding());
    }

    private static String handle(Event event) throws Exception {
        String fail = text(event, "fail");
        if (fail != null) {
            throw new IllegalStateException(fail);
        }
        String exit = text(event, "exit");
        if (exit != null) {
            System.exit(Integer.parseInt(exit));
        }
        String function = text(event, "call");
        long leftMs = Long.parseLong(event.deadlineMs()) - System.currentTimeMillis();
        return """
                {"function": %s, "request_id": %s, "process": %d, "left_ms": %d, "call": %s}"""
                .formatted(
                        quote(System.getenv("AWS_LAMBDA_FUNCTION_NAME")),
                        quote(event.requestId()),
                        ProcessHandle.current().pid(),
                        leftMs,
                        function == null ? "null" : call(function, event));
    }

    /** Calls a function and waits for its answer, as the AWS SDK does, though without a signature. */
    private static String call(String function, Event event) throws IOException, InterruptedException {
        String uri =
                System.getenv("AWS_ENDPOINT_URL_LAMBDA")
                        + "/2015-03-31/functions/" + function + "/invocations";
        HttpRequest request =
                HttpRequest.newBuilder(URI.create(uri))
                        .header("X-Amzn-Trace-Id", event.trace())
                        .POST(BodyPublishers.ofString(text(event, "payload")))
                        .build();
        HttpResponse<String> response = HTTP.send(request, BodyHandlers.ofString());
        String error = header(response, "X-Amz-Function-Error");
        return """
                {"status": %d, "function_error": %s, "payload": %s}"""
                .formatted(
                        response.statusCode(),
                        error.isEmpty() ? "null" : quote(error),
                        response.body().isEmpty() ? "null" : response.body());
    }

    private static String header(HttpResponse<?> response, String name) {
        return response.headers().firstValue(name).orElse("");
    }

    private static String error(String type, RuntimeException exception) {
        StringWriter trace = new StringWriter();
        exception.printStackTrace(new PrintWriter(trace));
        return """
                {"errorType": %s, "errorMessage": %s, "stackTrace": [%s]}"""
                .formatted(quote(type), quote(exception.getMessage()), quote(trace.toString()));
    }

    /** The string in a field of the event, or null. The JDK reads no JSON; this reads enough of it. */
    private static String text(Event event, String field) {
        Matcher found =
                Pattern.compile("\"" + field + "\"\\s*:\\s*\"((?:[^\"\\\\]|\\\\.)*)\"")
                        .matcher(event.payload());
        return found.find() ? found.group(1).translateEscapes() : null;
    }

    private static String quote(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        text.chars()
                .forEach(
                        character -> {
                            if (character < ' ' || character == '"' || character == '\\') {
                                quoted.append("\\u%04x".formatted(character));
                            } else {
                                quoted.append((char) character);
                            }
                        });
        return quoted.append('"').toString();
    }
}
