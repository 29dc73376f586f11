//! Variables that the vendors' own SDKs and documentation use under other names than vdm. vdm does not read them: they may
//! belong to another program on the machine. A warning names the variable to set.

/// A variable of a vendor, and the variable of vdm with the same meaning.
struct VendorVariable {
    name: &'static str,
    meant: &'static str,
}

/// Those of the built-in providers. The other built-in providers have the vendor's names in vdm, too.
const VENDOR_VARIABLES: [VendorVariable; 12] = [
    // Microsoft's documentation, and the class AzureOpenAI of OpenAI's SDKs.
    VendorVariable { name: "AZURE_OPENAI_API_KEY", meant: "AZURE_API_KEY" },
    VendorVariable { name: "AZURE_OPENAI_ENDPOINT", meant: "AZURE_BASE_URL" },
    VendorVariable { name: "AZURE_OPENAI_API_VERSION", meant: "AZURE_API_VERSION" },
    // OpenAI's SDK for Python before 1.0.
    VendorVariable { name: "OPENAI_ORGANIZATION", meant: "OPENAI_ORG_ID" },
    // Google's Gen AI SDKs.
    VendorVariable { name: "GOOGLE_API_KEY", meant: "GEMINI_API_KEY" },
    VendorVariable { name: "GOOGLE_GENAI_API_KEY", meant: "GEMINI_API_KEY" },
    VendorVariable { name: "GOOGLE_GEMINI_BASE_URL", meant: "GEMINI_BASE_URL" },
    // Moonshot's documentation of Kimi.
    VendorVariable { name: "MOONSHOT_API_KEY", meant: "KIMI_API_KEY" },
    VendorVariable { name: "MOONSHOT_BASE_URL", meant: "KIMI_BASE_URL" },
    // Ollama's libraries.
    VendorVariable { name: "OLLAMA_HOST", meant: "OLLAMA_BASE_URL" },
    // AgentRouter's documentation.
    VendorVariable { name: "AGENT_ROUTER_TOKEN", meant: "AGENTROUTER_API_KEY" },
    VendorVariable { name: "AGENT_ROUTER_API_KEY", meant: "AGENTROUTER_API_KEY" },
];

/// The variable of vdm with the same meaning.
pub(super) fn meant(name: &str) -> Option<&'static str> {
    VENDOR_VARIABLES.iter().find(|variable| variable.name == name).map(|variable| variable.meant)
}

#[cfg(test)]
mod tests {
    use super::super::environment::is_read;
    use super::*;

    #[test]
    fn each_variable_leads_to_one_that_is_read() {
        for VendorVariable { name, meant } in VENDOR_VARIABLES {
            assert!(is_read(meant) || meant == "OPENAI_ORG_ID", "{name}: {meant}");
        }
    }
}
