/* runs.js: the training runs page. */
import "./chat.css";
document.getElementById("app").textContent = "r1 runs";
