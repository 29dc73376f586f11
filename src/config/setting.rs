//! The declaration of one setting.

use super::value_type::{KeyType, ValueType};

pub(super) type SettingList = &'static [SettingDeclaration];

/// One setting. Any other key of a file is an error.
#[derive(Clone, Copy)]
pub(super) struct SettingDeclaration {
    pub(super) key: &'static str,
    pub(super) key_type: KeyType,
    pub(super) default: DefaultValue,
    pub(super) variable: Option<SettingVariable>,
    pub(super) application: Application,
    pub(super) documentation: Documentation,
}

/// The default value of a setting, as in a TOML file.
#[derive(Clone, Copy)]
pub(super) enum DefaultValue {
    /// A line of the built-in file.
    BuiltIn(&'static str),
    /// Assumed where the setting is read.
    Implied(&'static str),
    Unset,
}

/// When a new value takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Application {
    AtReload,
    AtStart,
}

/// The variable that overrides the files.
#[derive(Clone, Copy)]
pub(super) struct SettingVariable {
    /// `HOST`, or `{PROVIDER}_API_KEY` for a setting of each provider.
    pub(super) name: &'static str,
    /// The type, if it differs from the key's.
    pub(super) value_type: Option<ValueType>,
    pub(super) scope: VariableScope,
}

impl SettingVariable {
    /// A note on the unit, if it differs from the key's.
    pub(super) fn unit(self) -> &'static str {
        if self.value_type == Some(ValueType::Hours) { "In hours. " } else { "" }
    }
}

/// The values that a variable overrides.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum VariableScope {
    /// Those of the same key.
    Key,
    /// Those of the same key in each provider's table, too.
    EveryProvider,
}

/// The texts for people. Words between backquotes are literal.
#[derive(Clone, Copy)]
pub(super) struct Documentation {
    /// One or several sentences.
    pub(super) meaning: &'static str,
    /// The target of a link to more, in docs/configuration.md.
    pub(super) guide: Option<&'static str>,
    /// The value in the sample file, or the lines of a table. Without one, it is the default.
    pub(super) example: Option<&'static str>,
    pub(super) providers: ProviderScope,
}

/// The providers to which a setting of `[NAME]` applies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ProviderScope {
    All,
    OpenAiFormat,
}

impl SettingDeclaration {
    pub(super) const fn new(key: &'static str, key_type: KeyType, meaning: &'static str) -> Self {
        Self {
            key,
            key_type,
            default: DefaultValue::Unset,
            variable: None,
            application: Application::AtReload,
            documentation: Documentation {
                meaning,
                guide: None,
                example: None,
                providers: ProviderScope::All,
            },
        }
    }

    /// The value in the built-in file.
    pub(super) const fn with_default(mut self, value: &'static str) -> Self {
        self.default = DefaultValue::BuiltIn(value);
        self
    }

    /// The value that the reader of the setting assumes.
    pub(super) const fn with_implied_default(mut self, value: &'static str) -> Self {
        self.default = DefaultValue::Implied(value);
        self
    }

    pub(super) const fn with_variable(mut self, name: &'static str) -> Self {
        self.variable = Some(SettingVariable { name, value_type: None, scope: VariableScope::Key });
        self
    }

    /// A variable whose values have another type than the key's.
    pub(super) const fn with_typed_variable(mut self, name: &'static str, value_type: ValueType) -> Self {
        let value_type = Some(value_type);
        self.variable = Some(SettingVariable { name, value_type, scope: VariableScope::Key });
        self
    }

    /// A variable that also overrides the value of every provider.
    pub(super) const fn with_variable_over_providers(mut self, name: &'static str) -> Self {
        let scope = VariableScope::EveryProvider;
        self.variable = Some(SettingVariable { name, value_type: None, scope });
        self
    }

    /// A reload does not apply it.
    pub(super) const fn at_start(mut self) -> Self {
        self.application = Application::AtStart;
        self
    }

    pub(super) const fn with_guide(mut self, target: &'static str) -> Self {
        self.documentation.guide = Some(target);
        self
    }

    pub(super) const fn with_example(mut self, example: &'static str) -> Self {
        self.documentation.example = Some(example);
        self
    }

    pub(super) const fn for_openai_format(mut self) -> Self {
        self.documentation.providers = ProviderScope::OpenAiFormat;
        self
    }

    /// The default as people read it.
    pub(super) fn default_text(&self) -> Option<&'static str> {
        match self.default {
            DefaultValue::BuiltIn(text) | DefaultValue::Implied(text) => Some(text),
            DefaultValue::Unset => None,
        }
    }

    /// The type of the variable's values, if the key has a single value.
    pub(super) fn variable_type(&self) -> Option<ValueType> {
        let of_key = if let KeyType::Value(value_type) = self.key_type { Some(value_type) } else { None };
        self.variable.and_then(|variable| variable.value_type).or(of_key)
    }
}
